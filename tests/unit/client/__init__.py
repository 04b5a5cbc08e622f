"""The client and its packing: what the service is asked, what it answers, what becomes of files."""
