"""What is done to the operator on purpose, and what is predicted to come of it."""
