#!/bin/bash
# A systemd of its own, which ends with its caller: it has its own processes, mounts and control groups, and finds in
# its /etc and /usr/local/bin what a machine would have where deploy/README.md was followed.
#
#   manager.sh FOLDER NAME
#
# FOLDER/etc comes on top of /etc; FOLDER/bin, links to programs, is /usr/local/bin.
set -euo pipefail
folder=$1 name=$2

inside() {
    mount --make-rprivate /
    mount --bind "$groups/$name" "$groups"
    mount -t tmpfs tmpfs /run
    mkdir -p /run/systemd/system /run/etc /run/bin
    cp -a /etc/. /run/etc
    # Of the machine's own services none.
    rm -rf /run/etc/systemd/system
    cp -a "$folder/etc/." /run/etc
    for program in "$folder"/bin/*; do
        touch "/run/bin/${program##*/}"
        mount --bind "$(readlink -f "$program")" "/run/bin/${program##*/}"
    done
    mount --rbind /run/bin /usr/local/bin
    mount --bind /run/etc /etc
    exec env -i container=other PATH="$PATH" SYSTEMD_UNIT_PATH=/etc/systemd/system \
        "$manager" --system --unit=counterfoil.target --log-target=console --show-status=no
}

for manager in /usr/lib/systemd/systemd /lib/systemd/systemd; do
    [ ! -x "$manager" ] || break
done
groups=/sys/fs/cgroup/systemd
mountpoint --quiet "$groups" || groups=/sys/fs/cgroup
if [ "${3:-}" = inside ]; then
    inside
fi
mkdir "$groups/$name"
echo $$ > "$groups/$name/cgroup.procs"
exec unshare --pid --fork --kill-child --mount --uts --ipc --cgroup --mount-proc "$0" "$folder" "$name" inside
