# make demo         search a small network on generated street scenes
# make demo-pose    the same for keypoints of generated people
# make demo-det     the same for boxes around them
# make demo-det3d   the same for boxes in generated lidar frames
# make demo-cls     the same for classes of generated shapes
# make test         run all tests
# make setup        only install, into .venv; all of these do that by themselves
# make lint         ruff and mypy, as pre-commit runs them
# make docs         build the site of the documents into site/
# make clean        remove .venv, .venv-onedl and site/; data/ and work_dirs/ stay
#
# PYTHON=python3.11 make demo   chooses the interpreter of .venv
# make test STACK=onedl         takes the OneDL fork of OpenMMLab, in .venv-onedl

PYTHON ?= python3
STACK ?= openmmlab
ifeq ($(STACK),openmmlab)
VENV := .venv
STACK_REQUIREMENTS := requirements
TASKS := seg det pose det3d cls timm mim
else ifeq ($(STACK),onedl)
VENV := .venv-onedl
STACK_REQUIREMENTS := requirements/onedl
TASKS := seg det cls
else
$(error STACK must be openmmlab or onedl, got '$(STACK)')
endif
BIN := $(VENV)/bin
DONE := $(VENV)/.done
SITE = $(wildcard $(VENV)/lib/python3*/site-packages)

# Of each demo: its config, and the layout of its data.
demo        := mmseg/hrnas_demo_1xb8-300_cityscapes-128x256 cityscapes
demo-pose   := mmpose/td-hm_hrnas-demo_1xb16-8e_coco-192x144 coco
demo-det    := mmdet/fcos_hrnas-demo_1xb8-12e_coco-person-192x256 coco
demo-det3d  := mmdet3d/pointpillars_hrnas-demo_1xb2-12e_kitti-3d-3class kitti
demo-cls    := mmpretrain/hrnas-demo_1xb16-18e_in1k-64x64 imagenet
DEMOS := demo demo-pose demo-det demo-det3d demo-cls

.PHONY: $(DEMOS) test setup lint docs clean
.DELETE_ON_ERROR:

.SECONDEXPANSION:
$(DEMOS): setup data/demo_$$(lastword $$($$@))/.done
	@echo '== Search: a few minutes on 2 cores.'
	$(BIN)/python tools/train.py configs/$(firstword $($@)).py --work-dir work_dirs/$@ --overwrite
	@echo '== Done: the searched network is in work_dirs/$@/searched, its story in work_dirs/$@/report.html'

test: setup
	@echo '== Tests: about 9 minutes on 2 cores.'
	$(BIN)/python -m pytest
	@echo '== Done: all tests passed.'

setup: $(DONE)/hrnas_mm

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(DONE)/docs
	$(BIN)/mkdocs build --strict --site-dir site
	@echo '== Done: the site is in site/index.html'

clean:
	rm -rf .venv .venv-onedl site

data/demo_%/.done: tools/make_demo_data.py tools/demo_data/*.py | $(DONE)/hrnas_mm
	@echo '== Data: generated, in the layout of $*; under a minute.'
	@rm -rf $(@D)
	$(BIN)/python tools/make_demo_data.py $* $(@D)
	@touch $@

# Each stage leaves a file when it is through, so that an interrupted set-up
# goes on where it was, and a changed requirements file redoes its stage and
# those after it.

$(DONE)/venv:
	@tools/check_machine.sh $(PYTHON) $(STACK)
	@echo '== Set-up 1/5: a virtual environment in $(VENV), seconds.'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	@mkdir -p $(DONE) && touch $@

$(DONE)/build: $(STACK_REQUIREMENTS)/build.txt $(DONE)/venv
	@echo '== Set-up 2/5: torch and build tools, about a minute.'
	$(BIN)/python -m pip install --quiet -r $<
	@touch $@

$(DONE)/mmcv: $(STACK_REQUIREMENTS)/mmcv.txt $(DONE)/build
	@echo '== Set-up 3/5: mmcv; without a ready wheel it compiles for 5 to 10 minutes.'
	CFLAGS='-O2 -g0 -w' MAX_JOBS=$$(nproc) $(BIN)/python -m pip install --quiet --no-build-isolation -r $<
	@touch $@

FRAMEWORKS := $(TASKS:%=$(STACK_REQUIREMENTS)/%.txt) \
	requirements/deploy.txt requirements/tests.txt
NODEPS := $(STACK_REQUIREMENTS)/nodeps.txt

$(DONE)/frameworks: $(FRAMEWORKS) $(NODEPS) $(DONE)/mmcv
	@echo '== Set-up 4/5: the frameworks and test tools, about a minute.'
	$(BIN)/python -m pip install --quiet $(FRAMEWORKS:%=-r %)
	$(BIN)/python -m pip install --quiet --no-deps -r $(NODEPS)
	@touch $@

$(DONE)/hrnas_mm: setup.py requirements/runtime.txt requirements/torchvision_ops.py $(DONE)/frameworks
	@echo '== Set-up 5/5: hrnas_mm itself, seconds.'
	$(BIN)/python -m pip install --quiet --no-build-isolation --no-deps --editable .
	@cp requirements/torchvision_ops.py $(SITE)/_hrnas_mm_torchvision_ops.py
	@echo 'import _hrnas_mm_torchvision_ops' > $(SITE)/_hrnas_mm_torchvision_ops.pth
	@touch $@

# Not of the set-up: the site needs neither torch nor the frameworks.
$(DONE)/docs: requirements/docs.txt $(DONE)/venv
	@echo '== Docs: mkdocs and what reads docstrings, seconds.'
	$(BIN)/python -m pip install --quiet -r $<
	@touch $@
