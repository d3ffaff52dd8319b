"""What runs inside a container: a job in, a reconstruction out, by the contract of ``splatlib.launch.contract``.

``python -m splatlib.container`` is the image's entry point, and what the local launcher starts as a child process.
"""
