package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"strait/configs"
)

type configCmd struct {
	Show  configShowCmd  `cmd:"" default:"withargs" help:"Print the configuration in effect and where each value comes from."`
	Check configCheckCmd `cmd:"" help:"Say whether the configuration is valid: exit status 1 and one problem a line if not."`
	Docs  configDocsCmd  `cmd:"" help:"Print the reference of all variables in Markdown."`
}

// configuration loads the environment and fits it to this process's limits, as serve
// does. The notices are returned also with an error.
func configuration(env environ) (*configs.Config, []configs.Notice, error) {
	c, notices, err := configs.Load(env)
	if err != nil {
		return nil, notices, err
	}
	soft, hard, err := configs.OpenFiles()
	if err != nil {
		return nil, notices, fmt.Errorf("the limit of open files cannot be read: %w", err)
	}
	lowered, err := c.FitOpenFiles(soft, hard)
	if err != nil {
		return nil, notices, err
	}
	return c, append(notices, lowered...), nil
}

type configShowCmd struct {
	JSON bool `name:"json" help:"Print JSON, with each variable's meaning."`
}

func (cmd configShowCmd) Run(out io.Writer, env environ) error {
	c, _, err := configuration(env)
	if err != nil {
		return err
	}
	values := c.Values()
	if cmd.JSON {
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(values)
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "VARIABLE\tVALUE\tSOURCE\tNOTE")
	for _, v := range values {
		value := v.Value
		if value == "" {
			value = "-"
		}
		// Without a note the line ends at the source, not in padding.
		fmt.Fprintln(table, strings.TrimRight(v.Name+"\t"+value+"\t"+v.Source+"\t"+v.Note, "\t"))
	}
	return table.Flush()
}

type configCheckCmd struct{}

// Run returns the problems as an error whose text has one a line.
func (configCheckCmd) Run(out io.Writer, env environ) error {
	_, notices, err := configuration(env)
	for _, n := range notices {
		if _, err := fmt.Fprintln(out, n); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, "The configuration is valid.")
	return err
}

type configDocsCmd struct{}

func (configDocsCmd) Run(out io.Writer) error {
	_, err := io.WriteString(out, configs.Reference())
	return err
}
