"""Looking at instances: what they wait for, what they did, and whether today's code still fits."""
