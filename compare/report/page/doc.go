// Package page renders a report: as one HTML file that needs nothing else, as
// Markdown with its pictures in files beside it, and as text for a terminal.
//
// It knows nothing about what is reported. Equal input gives equal bytes. The HTML
// opens without a network and refuses one by its policy; it follows the reader's
// light or dark scheme, fits a phone, prints, and marks with words and signs what it
// also colours.
//
//  1. A Page has sections; a section has prose, a verdict, pictures, a heat map and
//     tables.
//  2. HTML, Markdown and Text each render the same Page.
package page
