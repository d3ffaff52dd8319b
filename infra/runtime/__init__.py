"""What the stack's functions share: clients, parameters, records, mails. Runs in Lambda: boto3, pydantic, no more."""
