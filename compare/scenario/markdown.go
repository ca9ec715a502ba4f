package scenario

import (
	"fmt"
	"strings"
	"time"

	"strait/compare/link"
)

// Markdown returns a table of the catalogue and the list of its sources, for the
// documentation.
func Markdown() string {
	var b strings.Builder
	b.WriteString("| Scenario | Round trip | Jitter up / down | Loss up / down | Rate up / down | Full queue up / down | Also |\n")
	b.WriteString("|---|---|---|---|---|---|---|\n")
	for _, s := range catalogue {
		up, down := s.Link.Up, s.Link.Down
		cells := []string{
			"`" + s.Name + "`", s.RTT().String(),
			each(up, down, jitterCell), each(up, down, lossCell), each(up, down, func(d link.Settings) string { return formatRate(d.Rate) }),
			each(up, down, queueCell), alsoCell(s.Link),
		}
		b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
	}
	b.WriteString("\n")
	for _, s := range catalogue {
		fmt.Fprintf(&b, "- `%s`: %s.\n", s.Name, s.About)
		for _, source := range s.Sources {
			fmt.Fprintf(&b, "  - %s.\n", source)
		}
	}
	return b.String()
}

// each returns one cell of both directions; once if they are the same.
func each(up, down link.Settings, cell func(link.Settings) string) string {
	if a, b := cell(up), cell(down); a != b {
		return a + " / " + b
	}
	return cell(up)
}

func jitterCell(d link.Settings) string {
	if d.Jitter == 0 {
		return "none"
	}
	return d.Jitter.String() + " " + d.Distribution.String()
}

func lossCell(d link.Settings) string {
	s := formatShare(d.Loss)
	if d.Burst.P > 0 {
		s += fmt.Sprintf(" + bursts of %.2g, %.2g%%", 1/d.Burst.R, d.Burst.Mean()*100)
	}
	return s
}

// queueCell tells a queue as the delay that it adds when full.
func queueCell(d link.Settings) string {
	if d.Rate == 0 {
		return "none"
	}
	full := time.Duration(float64(d.QueueBytes()) * 8 / float64(d.Rate) * float64(time.Second))
	return full.Round(time.Millisecond).String()
}

func alsoCell(c link.Config) string {
	var also []string
	for _, b := range c.Blackouts {
		also = append(also, "blackout "+formatBlackout(b))
	}
	for _, at := range c.AddressChanges {
		also = append(also, "new address at "+at.String())
	}
	if c.BlockUDP {
		also = append(also, "no UDP")
	}
	return strings.Join(also, ", ")
}
