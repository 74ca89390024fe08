#!/bin/sh
# A worker on each machine of a list, one name a line: docs/launch/ssh.sh machines.txt
# They end when no cell is left. Each machine has bitbudget, and the address in ~/.config/bitbudget/db.
set -eu
while read -r machine; do
  [ -n "$machine" ] || continue
  ssh -n "$machine" 'nohup sh -c "BITBUDGET_DB=$(cat ~/.config/bitbudget/db) exec bitbudget worker --drain --jobs 2 --threads 2" >bitbudget-worker.log 2>&1 &'
  echo "started on $machine; stop it with: ssh $machine pkill -TERM -f 'bitbudget worker'"
done <"$1"
