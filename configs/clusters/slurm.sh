#!/usr/bin/env bash
# A study on SLURM: one Ray node per SLURM task, the study's driver on the first.
#   sbatch configs/clusters/slurm.sh my-study.yaml runs/mine
#SBATCH --job-name=puretune
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --time=12:00:00
set -euo pipefail
study=$1 out=$2 # `out` on a file system that all nodes share; a job that ran out of time resumes with the same line

# Ray's own launcher: it starts the head on the first node, a worker on each other one, runs the command on the
# head, and ends them all when it is done (Ray 2.49 or newer).
srun ray symmetric-run \
  --address "$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1):6379" \
  --min-nodes "$SLURM_JOB_NUM_NODES" \
  -- puretune run "$study" --out "$out" --executor ray --address auto --quiet
