"""The deployed stack as a launcher: uploads, submissions, records; see ``infra/`` for the other side."""

from splatlib.launch.production.job import ProductionJob as ProductionJob
from splatlib.launch.production.launcher import Production as Production
