"""SCI, job receipts, epoch and fleet statements, pictures."""
