"""Setting JupyterLab up for this environment, as in SageMaker Studio, and finding out what is missing."""
