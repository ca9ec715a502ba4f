// Package plot draws figures as SVG: lines, bars and heat maps, small enough to stand
// side by side on a screen and one below the other on a phone.
//
// It computes nothing about what it draws, reads no file and no clock: equal input
// gives equal bytes. Series are told apart by colour, by dash and by marker; every
// picture has a title and a description for those who cannot see it. Pictures take
// their colours from classes: CSS is their style sheet, which a page carries once and
// a picture that stands alone has inside (Standalone); it follows the reader's light
// or dark scheme.
package plot
