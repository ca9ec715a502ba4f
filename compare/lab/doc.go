// Package lab joins a client and a gateway, each in a network namespace of its own, by
// a link that this process impairs: real kernel network stacks, and between them
// package link.
//
// It owns the namespaces, their TUN devices, addresses and routes, the processes that
// it starts inside, and the thread that moves packets. It measures nothing of what the
// processes do, and leaves nothing behind: namespaces have no names and no mounts, so
// that they end with the last process and descriptor, also when this process is
// killed; processes die with it.
//
//  1. [New] makes two namespaces. Each belongs to one locked thread, which makes the
//     TUN device and later starts the processes.
//  2. Every packet that leaves a namespace is read from its TUN device. Package link
//     decides its fate, and it is written to the other TUN device when it is due.
//  3. [Lab.Start] runs a program on one [Side]; [Lab.Do] runs a function there.
//  4. [Lab.Impair] puts other settings into force, and starts their clock and the
//     figures of [Lab.Stats] anew.
//  5. The client's address changes at the times that the settings name: the new one is
//     there, the old one is gone, as a kernel sees it when a phone changes networks.
//  6. [Lab.Close] ends the processes, then the link, then the namespaces.
//
// The link's thread is no better than the machine: it reports how late it was, and
// [Stats.Invalid] says when a run shows the machine instead of the link. Where it may,
// it runs before ordinary threads; but it needs one of Go's processors, so this process
// had better leave the work to the programs that it starts.
//
// A lab needs the privileges of root, or a user namespace ([Reexec]). With
// Config.Loopback there is neither namespace nor link, and no privilege is needed.
package lab
