"""A machine turned into a host as Alpine is one: OpenRC for process 1 and services, busybox for sh and all tools.

Both are Debian's packages; the C library stays the GNU one.
"""

from __future__ import annotations

from support.localmachine import LocalMachine

PACKAGES = ("openrc", "librc1t64", "libeinfo1", "busybox-static")
INSTALL = (
    "apt-get -qq update",
    f"cd /tmp && apt-get -qq download {' '.join(PACKAGES)}",
    "cd /tmp && dpkg -i --force-depends --force-conflicts --force-confnew ./*.deb >/dev/null 2>&1 && rm ./*.deb",
)
"""By dpkg, since apt would not have openrc beside systemd."""
NETWORK = """#!/sbin/openrc-run
depend() { provide net; }
start() {
	ip link set host0 address $hardware
	ip link set host0 up
	ip address add $address dev host0
	ip route add default via $gateway
	umount /sys  # the kernel's, which openrc-init mounted over the one that nspawn made
	for tree in /sys/fs/cgroup/*; do
		[ -L "$tree" ] || ! [ -e "$tree/cgroup.procs" ] || mount -o remount,bind,rw "$tree"
	done
}
"""
SSHD = """#!/sbin/openrc-run
command=/usr/sbin/sshd
command_args=-D
command_background=yes
pidfile=/run/sshd.pid
depend() { need net; }
start_pre() { mkdir -p /run/sshd; }
"""
"""What systemd's units did for the machine."""
BECOME = r"""set -e
chmod 755 /etc/init.d/network /etc/init.d/sshd
touch /etc/insserv.conf
# As on a computer of its own, where OpenRC uses control groups; those are there, in version 1.
printf 'rc_sys=""\nrc_cgroup_mode=hybrid\n' >>/etc/rc.conf
rm /etc/init.d/ssh /etc/init.d/sudo /etc/init.d/dbus /etc/init.d/procps /etc/runlevels/*/*
rc-update -q add network boot
rc-update -q add sshd default
for applet in $(busybox --list); do ln -sf /usr/bin/busybox /usr/local/bin/$applet; done
ln -sf busybox /usr/bin/sh
sed -i '/^root:/s|[^:]*$|/bin/sh|' /etc/passwd
rm /usr/lib/systemd/systemd /usr/bin/systemctl /usr/bin/journalctl
ln -sf openrc-init /usr/sbin/init
ln -sf openrc-shutdown /usr/sbin/shutdown
sync
"""


def become_openrc(machine: LocalMachine) -> None:
    """Change the running machine and boot it anew."""
    for command in INSTALL:
        machine.ssh(command)
    address, gateway, hardware = machine.ssh(
        "ip -o -4 address show host0 | awk '{print $4}'; ip route show default | awk '{print $3}';"
        "cat /sys/class/net/host0/address"
    ).split()
    values = f"address={address} gateway={gateway} hardware={hardware}\n"
    machine.ssh("cat >/etc/conf.d/network", stdin=values)
    machine.ssh("cat >/etc/init.d/network", stdin=NETWORK)
    machine.ssh("cat >/etc/init.d/sshd", stdin=SSHD)
    machine.ssh(BECOME)
    machine.driver.kill()
    machine.driver.start()
