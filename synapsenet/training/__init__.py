"""Training: jobs, and the parameter server with its workers that carry them out."""
