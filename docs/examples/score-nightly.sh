#!/usr/bin/env bash
# A run for cron: one at a time on this machine, its report kept, and each exit code answered.
#
#   score-nightly.sh CONF [--set key.path=value ...]
#
# SPARKCOIL_JOB is the job's command, SPARKCOIL_STATE where reports and locks are kept, SPARKCOIL_TRIES how often a run is tried that
# ended for no reason of its own (1 or a signal), SPARKCOIL_WAIT how many seconds lie between two tries. What a person has to see goes to
# stderr, which cron sends by mail.
set -uo pipefail
conf=$1
job=${SPARKCOIL_JOB:-python jobs/score.py}
state=${SPARKCOIL_STATE:-$HOME/.local/state/sparkcoil}
name=$(basename "$conf" .yaml)
mkdir -p "$state"

exec 9>"$state/$name.lock"
flock --nonblock 9 || exit 0 # the last night's run is still at work, and does what this one would

for ((try = 1; ; try++)); do
  $job "$@" >"$state/$name.out" 2>"$state/$name.log" 9>&-
  code=$?
  report=$(tail -n 1 "$state/$name.out")
  printf '%s\n' "$report" >>"$state/$name.reports.jsonl"
  case $code in
    0) exit 0 ;;
    2) why="the run file is wrong" ;;
    3) why="refused before scoring" ;;
    4) why="over the error budget, or a gate does not hold" ;;
    5) exit 0 ;; # a run elsewhere holds the target; the next night scores what is left
    *) why="ended with $code" ;;
  esac
  # What 2, 3 and 4 name stays so until someone mends it. Any other run goes on where it stopped.
  if ((code >= 2 && code <= 4)) || ((try >= ${SPARKCOIL_TRIES:-3})); then
    printf '%s: %s (try %d): %s\nlog: %s\n' "$name" "$why" "$try" "$report" "$state/$name.log" >&2
    exit "$code"
  fi
  sleep "${SPARKCOIL_WAIT:-60}"
done
