// Writes src/sops/go_regex/unicode.bin, the Unicode data of Go's regexp package, from Go's own tables.
//
//	go run tests/tools/unicode-tables/main.go > src/sops/go_regex/unicode.bin
//
// Numbers are varints (7 bits a byte, low bits first, high bit = more follow). The file is the lengths of its four
// sections and then these:
//
//	categories  one byte a run of code points: category in the low 5 bits, length in the high 3; 0 = length follows.
//	            The runs cover 0..10FFFF. Category numbers are positions in `base` below.
//	scripts     runs too: script number (0 = a script without a name that Go accepts), then length.
//	folds       runs of code points whose next one in their fold orbit lies at the same distance:
//	            gap to the run before, 2*(length-1) + (1 if only every second code point), zigzag distance.
//	names       for each: length, bytes in canonical form, kind, value. Kind 0: value is a mask of
//	            categories; kind 1: value is a script number; kind 2: as 0,
//	            but Go does not fold it with (?i). Sorted.
//
// Only names that this Go's regexp accepts are written: scripts with an underscore are not among them.
package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

var base = strings.Fields("Cn Cc Cf Co Cs Ll Lm Lo Lt Lu Mc Me Mn Nd Nl No Pc Pd Pe Pf Pi Po Ps Sc Sk Sm So Zl Zp Zs")

var out bytes.Buffer

func varint(n int) {
	for n >= 0x80 {
		out.WriteByte(byte(n) | 0x80)
		n >>= 7
	}
	out.WriteByte(byte(n))
}

// canonical is the form in which regexp compares names.
func canonical(name string) string {
	name = strings.ToLower(strings.NewReplacer("_", "", "-", "", " ", "").Replace(name))
	return strings.ToUpper(name[:1]) + name[1:]
}

// runs calls emit for each longest run of code points with the same number.
func runs(number func(rune) int, emit func(number, length int)) {
	start, current := rune(0), number(0)
	for r := rune(1); r <= unicode.MaxRune; r++ {
		if n := number(r); n != current {
			emit(current, int(r-start))
			start, current = r, n
		}
	}
	emit(current, int(unicode.MaxRune+1-start))
}

// mask is the set of base categories in a table that consists of whole categories.
func mask(table *unicode.RangeTable) int {
	m := 0
	for i, name := range base {
		if unicode.Is(table, firstOf[name]) {
			m |= 1 << i
		}
	}
	return m
}

// firstOf has one code point of each base category.
var firstOf = map[string]rune{}

func main() {
	category := make([]byte, unicode.MaxRune+1)
	for i, name := range base {
		for r := rune(unicode.MaxRune); r >= 0; r-- {
			if unicode.Is(unicode.Categories[name], r) {
				category[r] = byte(i)
				firstOf[name] = r
			}
		}
	}

	names := map[string][2]int{"Any": {0, 1<<len(base) - 1}, "Assigned": {0, 1<<len(base) - 2}}
	var scripts []string
	for name := range unicode.Scripts {
		if canonical(name) == name {
			scripts = append(scripts, name)
		}
	}
	slices.Sort(scripts)
	for i, name := range scripts {
		names[name] = [2]int{1, i + 1}
	}
	for name, table := range unicode.Categories {
		names[canonical(name)] = [2]int{0, mask(table)}
	}
	// LC lacks its folding in Go: (?i)\p{LC} does not take U+0345, which folds to a letter.
	if unicode.FoldCategory["LC"] == nil {
		names["Lc"] = [2]int{2, mask(unicode.Categories["LC"])}
	}
	for name, actual := range unicode.CategoryAliases {
		names[canonical(name)] = names[canonical(actual)]
	}

	runs(func(r rune) int { return int(category[r]) }, func(number, length int) {
		if length < 8 {
			out.WriteByte(byte(number | length<<5))
		} else {
			out.WriteByte(byte(number))
			varint(length)
		}
	})
	categories := out.Len()

	script := make([]byte, unicode.MaxRune+1)
	for i, name := range scripts {
		for r := rune(0); r <= unicode.MaxRune; r++ {
			if unicode.Is(unicode.Scripts[name], r) {
				script[r] = byte(i + 1)
			}
		}
	}
	runs(func(r rune) int { return int(script[r]) }, func(number, length int) {
		out.WriteByte(byte(number))
		varint(length)
	})
	scriptRuns := out.Len()

	type run struct{ start, length, stride, delta int }
	var folds []run
	for r := rune(0); r <= unicode.MaxRune; r++ {
		delta := int(unicode.SimpleFold(r) - r)
		if delta == 0 {
			continue
		}
		if n := len(folds) - 1; n >= 0 && folds[n].delta == delta {
			f := &folds[n]
			last := f.start + (f.length-1)*f.stride
			if step := int(r) - last; step <= 2 && (f.length == 1 || f.stride == step) {
				f.stride = step
				f.length++
				continue
			}
		}
		// A run with stride 2 may lie inside another (upper, lower, upper, ...): look one further back.
		if n := len(folds) - 2; n >= 0 && folds[n].delta == delta {
			f := &folds[n]
			last := f.start + (f.length-1)*f.stride
			if step := int(r) - last; step == 2 && (f.length == 1 || f.stride == 2) {
				f.stride = 2
				f.length++
				continue
			}
		}
		folds = append(folds, run{int(r), 1, 1, delta})
	}
	at := 0
	for _, f := range folds {
		varint(f.start - at)
		varint(2*(f.length-1) + f.stride - 1)
		varint(f.delta<<1 ^ f.delta>>63)
		at = f.start
	}
	foldRuns := out.Len()

	for _, name := range slices.Sorted(maps.Keys(names)) {
		regexp.MustCompile(`\p{` + name + `}`)
		varint(len(name))
		out.WriteString(name)
		out.WriteByte(byte(names[name][0]))
		varint(names[name][1])
	}
	fmt.Fprintf(os.Stderr, "Unicode %s: categories %d, scripts %d, folds %d in %d runs, names %d; %d bytes\n", unicode.Version,
		categories, scriptRuns-categories, foldRuns-scriptRuns, len(folds), out.Len()-foldRuns, out.Len())
	body := bytes.Clone(out.Bytes())
	out.Reset()
	for _, length := range []int{categories, scriptRuns - categories, foldRuns - scriptRuns, len(body) - foldRuns} {
		varint(length)
	}
	os.Stdout.Write(append(out.Bytes(), body...))
}
