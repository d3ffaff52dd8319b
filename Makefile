# Every target works on a clean checkout: the first one that runs installs the project.
#
# Where to: into the active virtual environment, or the active conda environment unless it is conda's base;
# with neither, into .venv, which is made with $(PYTHON) and takes the versions in constraints.txt.
#
#   make demo                       a sample capture, reconstructed; prints the report's path and the held-out PSNR
#   make test                       the tests
#   make splat CAPTURE=fox.mp4      your capture; also OUT=folder PRESET=balanced ARGS="--set train.seed=1"
#   make lab                        the notebooks in JupyterLab
#   make studio                     this environment as a kernel of JupyterLab, in SageMaker Studio; then splat doctor
#   make lab45                      a JupyterLab as Studio's, for the browser tests: in build/lab45, 200 MB
#   make js                         the widgets' front end, bundled into splatlib/widgets/static (needs Node 20)
#   make lint                       what a change must pass besides the tests
#   make image                      the container image, with docker, podman or buildah: IMAGE=name:tag ENGINE=docker
#   make image-local                its CPU variant, by buildah on a base made by debootstrap (as root, on Debian)
#   make deploy EMAIL=you@example.com   the production stack, into the AWS account of your credentials; ARGS="-c vpc=true"
#   make cloud-image                its container image, built there; make destroy takes the stack away, data stays
#   make infra-lint                 what a change of infra/ must pass besides; make infra-scan: checkov, slower
#   make terraform-check            the Terraform module: formatted, valid; TF_PLUGINS=folder with its AWS provider
#   make clean                      remove build leftovers and caches; runs/ and .venv stay

SHELL := /bin/bash
PYTHON ?= python3
CONDA_ENVIRONMENT := $(if $(filter-out base,$(CONDA_DEFAULT_ENV)),$(CONDA_PREFIX))
VENV ?= $(or $(VIRTUAL_ENV),$(CONDA_ENVIRONMENT),.venv)
CONSTRAINTS ?= $(if $(filter .venv,$(VENV)),constraints.txt)
IN_VENV := $(VENV)/bin/python -m
# The names hold the checkout's path: one environment may serve several checkouts. What only tests and linters need
# (a cloud's SDK, a browser's driver) is installed when they are first run.
INSTALLED := $(VENV)/.installed$(subst /,_,$(CURDIR))
INSTALLED_TO_TEST := $(VENV)/.installed_to_test$(subst /,_,$(CURDIR))

PRESET ?= preview
ARGS ?=
# Many tests wait, for a browser or another process: two at a time fill two cores. Tests of a file stay together, since
# they share what is expensive to make.
TEST_PROCESSES ?= 2

.DELETE_ON_ERROR:
.PHONY: infra-install infra-lint infra-scan terraform-check deploy diff destroy cloud-image demo test splat capture-named lab studio lab45 js js-check lint clean install

install: $(INSTALLED_TO_TEST)

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): pyproject.toml $(CONSTRAINTS) | $(VENV)/bin/python
	@echo "installing splatlib into $(VENV) (some minutes the first time)"
	$(IN_VENV) pip install --quiet $(addprefix --constraint ,$(CONSTRAINTS)) --editable '.[notebook]'
	@touch $@

$(INSTALLED_TO_TEST): $(INSTALLED)
	@echo "installing what the tests need into $(VENV)"
	$(IN_VENV) pip install --quiet $(addprefix --constraint ,$(CONSTRAINTS)) --editable '.[notebook,dev]'
	$(IN_VENV) pip install --quiet --no-deps 'backgroundremover>=0.2'  # without its pins: see CONTRIBUTING.md
	@touch $@

demo: $(INSTALLED)
	capture=$$($(IN_VENV) splatlib sample runs/sample) && \
	$(IN_VENV) splatlib run "$$capture" --out runs/demo --preset preview

test: $(INSTALLED_TO_TEST)
	$(IN_VENV) pytest --numprocesses $(TEST_PROCESSES) --dist loadfile

capture-named:
	@test -n "$(CAPTURE)" || { echo "name a capture: make splat CAPTURE=path/to/video-or-photos" >&2; exit 2; }

splat: capture-named $(INSTALLED)
	$(IN_VENV) splatlib run "$(CAPTURE)" $(if $(OUT),--out "$(OUT)") --preset $(PRESET) $(ARGS)

lab: $(INSTALLED)
	$(IN_VENV) jupyter lab notebooks

JS := splatlib/widgets/js

$(JS)/node_modules/.package-lock.json: $(JS)/package-lock.json
	cd $(JS) && npm ci --no-audit --no-fund --silent

js: $(JS)/node_modules/.package-lock.json
	cd $(JS) && npm run --silent build

js-check: $(JS)/node_modules/.package-lock.json
	cd $(JS) && npm run --silent lint && npm test --silent

studio: $(INSTALLED)
	$(IN_VENV) pip install --quiet $(addprefix --constraint ,$(CONSTRAINTS)) --editable '.[notebook,aws]'
	$(IN_VENV) splatlib studio setup
	$(IN_VENV) splatlib doctor

# What SageMaker Studio has: JupyterLab 4.5 in an environment of its own; ipykernel 6, which kernels of the tests put before theirs.
LAB45 := build/lab45

lab45: $(LAB45)/.installed

$(LAB45)/.installed:
	$(PYTHON) -m venv $(LAB45)
	$(LAB45)/bin/python -m pip install --quiet 'jupyterlab==4.5.*'
	$(LAB45)/bin/python -m pip install --quiet --no-deps --target $(LAB45)/ipykernel6 'ipykernel>=6.29,<7' nest-asyncio
	@touch $@

lint: $(INSTALLED_TO_TEST)
	$(IN_VENV) ruff check
	$(IN_VENV) ruff format --check
	$(IN_VENV) pyright --pythonpath $(VENV)/bin/python
	$(IN_VENV) nbstripout --verify notebooks/*.ipynb

# The production stack. Its tools go into the same environment and into build/node.
CDK := build/node/node_modules/.bin/cdk
STACK ?= splatlib
EMAIL ?=
INFRA_INSTALLED := $(VENV)/.installed_infra$(subst /,_,$(CURDIR))
CONTEXT = -c stack=$(STACK) $(if $(EMAIL),-c email=$(EMAIL)) $(ARGS)
export JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION := 1
export JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION := 1

infra-install: $(INFRA_INSTALLED) $(CDK)

$(INFRA_INSTALLED): infra/requirements.txt $(INSTALLED_TO_TEST)
	$(IN_VENV) pip install --quiet --requirement infra/requirements.txt
	@touch $@

$(CDK): infra/package.json
	mkdir -p build/node && cp infra/package.json build/node/
	cd build/node && npm install --no-audit --no-fund --silent
	@touch $@

deploy: infra-install
	PATH="$(abspath $(VENV)/bin):$$PATH" $(CDK) bootstrap $(CONTEXT)
	PATH="$(abspath $(VENV)/bin):$$PATH" $(CDK) deploy --import-existing-resources $(CONTEXT)

diff: infra-install
	PATH="$(abspath $(VENV)/bin):$$PATH" $(CDK) diff $(CONTEXT)

destroy: infra-install
	PATH="$(abspath $(VENV)/bin):$$PATH" $(CDK) destroy $(CONTEXT)

cloud-image:
	aws codebuild start-build --project-name $(STACK)-image --query build.id --output text

build/checkov/bin/checkov:
	$(PYTHON) -m venv build/checkov
	build/checkov/bin/pip install --quiet checkov

infra-scan: infra-install build/checkov/bin/checkov
	PATH="$(abspath $(VENV)/bin):$$PATH" $(CDK) synth --quiet $(CONTEXT)
	build/checkov/bin/checkov --skip-download --compact --quiet --file build/cdk.out/Production.template.json
	build/checkov/bin/checkov --skip-download --compact --quiet --directory infra/terraform
	build/checkov/bin/checkov --skip-download --compact --quiet --framework dockerfile --file container/Dockerfile

infra-lint: infra-install
	PATH="$(abspath $(VENV)/bin):$$PATH" $(CDK) synth --quiet $(CONTEXT)
	$(IN_VENV) bandit --quiet --recursive infra splatlib/launch
	$(VENV)/bin/cfn-lint build/cdk.out/Production.template.json
	$(VENV)/bin/hadolint container/Dockerfile
	build/node/node_modules/.bin/asl-validator --json-path infra/*/*.asl.json
	@if ! command -v terraform >/dev/null; then echo "terraform is not here: its module is not checked" >&2; \
	elif [ -n "$(TF_PLUGINS)" ]; then $(MAKE) --no-print-directory terraform-check; \
	else terraform fmt -check infra/terraform && echo "not validated: TF_PLUGINS names no AWS provider" >&2; fi

# Without TF_PLUGINS, the provider comes from Terraform's registry.
terraform-check:
	terraform fmt -check infra/terraform
	@mkdir -p build/terraform
	@printf '%s\n' 'variable "bundle" {}' 'module "splatlib" {' '  source = "../../infra/terraform"' \
	'  bundle = var.bundle' '}' > build/terraform/main.tf
	terraform -chdir=build/terraform init -input=false $(addprefix -plugin-dir=,$(TF_PLUGINS)) >/dev/null
	terraform -chdir=build/terraform validate

clean:
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find splatlib tests benchmarks -name __pycache__ -type d -exec rm -rf {} +

include container/image.mk
