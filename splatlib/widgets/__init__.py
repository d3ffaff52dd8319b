"""Pictures of artefacts for notebooks and reports."""
