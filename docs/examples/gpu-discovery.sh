#!/usr/bin/env bash
# Tells Spark which GPUs a machine has, as spark.worker.resource.gpu.discoveryScript and spark.executor.resource.gpu.discoveryScript ask for.
set -euo pipefail
indices=$(nvidia-smi --query-gpu=index --format=csv,noheader)
addresses=$(printf '%s\n' "$indices" | sed 's/.*/"&"/' | paste -sd, -)
printf '{"name": "gpu", "addresses": [%s]}\n' "$addresses"
