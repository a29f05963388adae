# Every target is one script in scripts/, so that each can be read, and run, by itself.
.DEFAULT_GOAL := help
.PHONY: help run cluster test matrix check bench soak saved fuzz clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## the demo: install what is missing, build, start, print the URL (HOST=ADDRESS serves the LAN)
	@HOST='$(HOST)' scripts/run.sh

cluster: ## the real case on one machine: two edges, two registrars, RTPEngine, a core; kill one and call on
	@scripts/cluster.sh

test: ## every test: unit, property, torture, end to end with real phones and browsers
	@scripts/test.sh

matrix: ## every kind of phone and browser calls every other, through all that can happen to a call, and a table of it
	@ONLY='$(ONLY)' scripts/matrix.sh

check: ## formats, lints and documentation, without a test
	@scripts/check.sh

bench: ## CPU a message and memory a connection, beside Kamailio (BENCH="--quick" for a minute's look)
	@BENCH='$(BENCH)' scripts/bench.sh

soak: ## ten minutes of calls of every kind over a bad network (SECONDS=600 SEED=5); a short form is in `make test`
	@SECONDS_LONG='$(or $(SECONDS),600)' SEED='$(or $(SEED),5)' scripts/soak.sh

saved: ## an RTPEngine dies with calls up, half of them of browsers (CALLS=24; 50 want four cores): how long are they without audio?
	@CALLS='$(or $(CALLS),24)' scripts/saved.sh

fuzz: ## every fuzz target for a minute (SECONDS_EACH=60)
	@SECONDS_EACH='$(or $(SECONDS_EACH),60)' scripts/fuzz.sh

clean: ## remove what was built and the npm packages
	@rm -rf target tests/fuzz/target web-demo/dist web-demo/node_modules tests/browser/node_modules
