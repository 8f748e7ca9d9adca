# Ends the servers of a private node once whoever started them is gone, however that happened.
#
#   sh guard.sh FOLDER < pipe
#
# The other end of the pipe belongs to the process that owns the node: the pipe ends when that
# process drops the node, exits, or is killed with -9. FOLDER/pids holds one file for each server:
# its name ends in the signal that stops that server for good, its content is the process id.
trap '' HUP INT QUIT TERM
cat > /dev/null

folder=$1

# A server that is only just being launched sees this and gives up (LAUNCH in process.rs).
: > "$folder/closed"

# A server that is dead but not yet waited for by its parent counts as gone, once the last of its
# threads is dead too: until then its ports are open.
is_gone() {
    kill -0 "$1" 2> /dev/null || return 0
    grep -q '^State:[[:space:]]*Z' "/proc/$1/status" 2> /dev/null || return 1
    set -- "/proc/$1/task"/*
    [ $# -eq 1 ]
}

end() {
    pid=$1 signal=$2
    # Continued as well: a server that a test has paused would never see the signal.
    kill -s "$signal" "$pid" 2> /dev/null && kill -s CONT "$pid" 2> /dev/null
    tries=0
    until is_gone "$pid"; do
        tries=$((tries + 1))
        [ "$tries" -eq 250 ] && kill -s KILL "$pid" 2> /dev/null
        [ "$tries" -ge 500 ] && break
        sleep 0.02
    done
}

for file in "$folder"/pids/*; do
    [ -f "$file" ] && end "$(cat "$file")" "${file##*.}"
done

# A PostgreSQL server that was killed with -9 leaves its shared memory segment behind; the last
# field of line 7 is the segment's id.
lock=$folder/data/postmaster.pid
[ -f "$lock" ] && ipcrm -m "$(sed -n '7s/.* //p' "$lock")" 2> /dev/null

rm -rf "$folder"
