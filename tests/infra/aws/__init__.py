"""A local AWS for the production stack: moto's server with its gaps filled, in a process of its own.

    lambdas.py         functions run as their deployed zip, in child interpreters that stay warm
    events.py          S3's whole events, SQS to Lambda with redelivery, EventBridge to Lambda
    workflows.py       JSONata, SageMaker's .sync, events of executions that end, time made short
    training.py        training jobs that take time, fail, are interrupted; or run a real program
    cloudformation.py  properties of templates that moto leaves out
    terraform.py       what Terraform's provider asks besides
    faults.py          throttled calls, lost answers, repeated and reordered events; who called what

``patch`` modules change moto for the whole process, so nothing here is imported by a test: ``LocalAws`` starts
``python -m tests.infra.aws`` and talks to it as to AWS.
"""
