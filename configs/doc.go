// Package configs turns the process's environment into the gateway's
// configuration: it decodes, validates, prints and documents the STRAIT_
// variables.
//
// It owns the names, defaults and limits of the settings and the reference made
// from them. It opens no socket, starts no goroutine, logs nothing and never reads
// the process's own environment: it is given one. What a setting does is its
// package's business; mapping a [Config] to those packages is the command's.
//
//  1. [Load] takes the STRAIT_ variables out of the environment, refuses those that
//     nobody declares and decodes the others by the struct tags of [Config].
//  2. Every value is held against its rule in the table of variables (table.go), and
//     then against the other values (check.go); all problems are returned at once,
//     as [Errors].
//  3. [Config.FitOpenFiles] holds the session limit against the process's limit of
//     open files, [Config.BufferBudget] settles the budget of buffered bytes.
//  4. [Config.Values] prints the result, [Reference] the same table as Markdown.
//
// A setting is added by a tagged field in config.go and a line in the table; a test
// fails when one has no other.
package configs
