"""The production stack on AWS: one folder per concern, its CDK construct beside its runtime code."""
