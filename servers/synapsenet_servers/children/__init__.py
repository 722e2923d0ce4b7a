"""Child processes: started so that none outlives this process, watched, restarted, and ended in reverse order."""
