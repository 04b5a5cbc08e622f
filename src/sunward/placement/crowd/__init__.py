"""Planning many like jobs at a time: counted, searched and placed by kind, then named one by one."""
