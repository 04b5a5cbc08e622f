"""Claims and evidence → verdicts; a second author, sharing no arithmetic with metering."""
