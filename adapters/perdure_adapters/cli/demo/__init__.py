"""`perdure demo`: a worker is killed with SIGKILL in mid-run, and nothing is lost or done twice."""
