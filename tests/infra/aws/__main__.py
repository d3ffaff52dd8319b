"""Starts the server and prints its address: ``python -m tests.infra.aws PORT``."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback


def _tell(_application: object, exception: BaseException, **_: object) -> None:
    traceback.print_exception(exception)


def main() -> None:
    port = int(sys.argv[1])
    url = f"http://127.0.0.1:{port}"
    # before moto is imported: its own calls of itself find their way by these
    os.environ |= {
        "MOTO_PORT": str(port),
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "local-aws",
        "AWS_SECRET_ACCESS_KEY": "of-tests",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    from moto.core.config import default_user_config

    default_user_config["stepfunctions"] = {"execute_state_machine": True}
    default_user_config["lambda"] = {"use_docker": False}

    import moto.stepfunctions.parser.models
    from flask import got_request_exception
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    from tests.infra.aws import cloudformation, events, lambdas, terraform, training, workflows
    from tests.infra.aws.faults import Watched
    from tests.local_aws import LocalAws
    from tests.local_aws.gaps import fill_gaps

    assert moto.stepfunctions.parser.models
    for module in (lambdas, events, workflows, training, cloudformation, terraform):
        module.patch()

    class Quiet(WSGIRequestHandler):
        def log_request(self, *_: object) -> None:
            pass

    got_request_exception.connect(_tell, weak=False)
    cache = tempfile.mkdtemp(prefix="splatlib-cache-")  # of the real entry point, where a test asks for it
    application = Watched(DomainDispatcherApplication(create_backend_app))
    with fill_gaps(LocalAws(url, container_environment={"SPLATLIB_CACHE": cache}), training.container()):
        server = make_server("127.0.0.1", port, application, threaded=True, request_handler=Quiet)
        print(url, flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
