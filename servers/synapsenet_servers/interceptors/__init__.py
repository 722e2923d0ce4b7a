"""What every call passes through: errors, deadlines, required fields, limits."""
