"""SageMaker training jobs through the SageMaker SDK's Estimator. boto3 and the SDK load when AWS is asked something."""
