#!/bin/bash
# Sixteen workers that end when no cell is left: sbatch docs/launch/slurm-array.sh
# ~/.config/bitbudget/db holds the address, readable by you alone: postgres://you@db/bitbudget
#SBATCH --job-name=bitbudget
#SBATCH --array=1-16
#SBATCH --cpus-per-task=4
#SBATCH --time=12:00:00
#SBATCH --requeue
#SBATCH --signal=TERM@60
set -eu
BITBUDGET_DB=$(cat "$HOME/.config/bitbudget/db")
export BITBUDGET_DB
# The node's own disk holds what is fetched; the shared one holds inputs that are too large for the database.
exec bitbudget worker --drain --jobs 2 --threads 2 --cache "${TMPDIR:-/tmp}/bitbudget-$SLURM_JOB_ID" --inputs "$HOME/bitbudget-inputs"
