"""What users write: activities, workflows and their options."""
