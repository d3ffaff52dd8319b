"""``python -m tests.local_aws [PORT]``: prints the environment that programs need to talk to it, then serves."""

import sys

from tests.local_aws import serve

serve(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
