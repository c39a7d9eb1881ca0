#!/bin/bash
# A run on 1 to N nodes of a Slurm cluster:
#   sbatch --nodes 2 --gpus-per-node 8 recipes/cluster/slurm.sh recipes/tldr-llama2.yaml
# Further arguments go to `plad run`, such as --set launch.strategy=fsdp2.
# The directory that it is submitted from, and so runs/, must be on a file system that all nodes see. The environment
# with plad in it is the one that is active when this is submitted.
#SBATCH --job-name=plad
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --time=24:00:00
#SBATCH --output=plad-%j.log
# Two minutes before the time is up each node is told; the job is put in the queue again and the run goes on.
#SBATCH --signal=INT@120
#SBATCH --requeue
#SBATCH --open-mode=append

set -euo pipefail

recipe=${1:?usage: sbatch --nodes N --gpus-per-node G slurm.sh RECIPE [options of plad run]}
shift

mapfile -t names < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
export MASTER_ADDR=${names[0]}
export MASTER_PORT=$((20000 + SLURM_JOB_ID % 20000))

run=(plad run "$recipe"
  --set "launch.nodes=$SLURM_JOB_NUM_NODES"
  --set "launch.devices=${SLURM_GPUS_ON_NODE:-1}"
  "$@")

status=0
# NODE_RANK is another on each node, so that it is read there.
srun --kill-on-bad-exit=1 bash -c 'NODE_RANK=$SLURM_NODEID exec "$@"' plad "${run[@]}" || status=$?

# 130 is how a run ends that was told to stop behind its step.
if [ "$status" -eq 130 ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
