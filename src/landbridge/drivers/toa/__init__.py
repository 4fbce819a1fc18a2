"""Programs in the kernel that tell a backend who its client is, without a proxy.

`objects` reads what the compiler made, `kernel` speaks bpf(2), `hooks` puts programs on interfaces, and `fitting`
keeps one program with its tables on the subnet interfaces of one edge. The C sources are in `bpf/`.
"""
