package states

import (
	"cmp"
	"slices"
	"strings"
)

// rule is a Choice state's: a comparison of a variable, or And, Or, Not of
// rules.
type rule struct {
	next     string
	variable path
	test     func(v any, there bool, s scope) (bool, error)

	all, any []rule
	not      *rule
}

// holds says whether the rule applies.
func (r rule) holds(s scope) (bool, error) {
	switch {
	case r.all != nil:
		for _, sub := range r.all {
			if ok, err := sub.holds(s); err != nil || !ok {
				return false, err
			}
		}
		return true, nil
	case r.any != nil:
		for _, sub := range r.any {
			if ok, err := sub.holds(s); err != nil || ok {
				return ok, err
			}
		}
		return false, nil
	case r.not != nil:
		ok, err := r.not.holds(s)
		return !ok && err == nil, err
	}
	in := s.input
	if r.variable.context {
		in = s.context
	}
	v, there, err := r.variable.has(in)
	if err != nil {
		return false, err
	}
	if v, err = plain(v); err != nil {
		return false, fail(errRuntime, "%v", err)
	}
	return r.test(v, there, s)
}

// presence are the tests that ask what a variable is: their value is true or
// false. Only IsPresent may ask of one that is not there.
var presence = map[string]func(v any, there bool) bool{
	"IsPresent": func(_ any, there bool) bool { return there },
	"IsNull":    func(v any, _ bool) bool { return v == nil },
	"IsString":  func(v any, _ bool) bool { return kindOf(v) == "a string" },
	"IsNumeric": func(v any, _ bool) bool { _, ok := number(v); return ok },
	"IsBoolean": func(v any, _ bool) bool { return kindOf(v) == "a boolean" },
}

// orders are the ends of the names of comparisons: which results of cmp.Compare
// they take.
var orders = map[string][]int{
	"Equals": {0}, "LessThan": {-1}, "GreaterThan": {1}, "LessThanEquals": {-1, 0}, "GreaterThanEquals": {1, 0},
}

// compare holds v against want as the comparison's name says. Values of
// different types do not compare, and the rule does not apply.
func compare(kind string, order []int, v, want any) bool {
	switch kind {
	case "String":
		a, ok1 := v.(string)
		b, ok2 := want.(string)
		return ok1 && ok2 && slices.Contains(order, strings.Compare(a, b))
	case "Numeric":
		a, ok1 := number(v)
		b, ok2 := number(want)
		return ok1 && ok2 && slices.Contains(order, cmp.Compare(a, b))
	}
	a, ok1 := v.(bool)
	b, ok2 := want.(bool)
	return ok1 && ok2 && a == b
}

// parseRule reads a rule. Only a rule at the top has Next.
func parseRule(f *fields, top bool) rule {
	var r rule
	if top {
		r.next = f.required("Next")
	}
	if and, or := f.has("And"), f.has("Or"); and || or {
		name := "Or"
		if and {
			name = "And"
		}
		var rules []rule
		for _, sub := range f.objects(name) {
			rules = append(rules, parseRule(sub, false))
		}
		if rules == nil {
			f.failf(name, "must have a rule at least")
		}
		if and {
			r.all = rules
		} else {
			r.any = rules
		}
		f.done()
		return r
	}
	if not := f.object("Not"); not != nil {
		sub := parseRule(not, false)
		r.not = &sub
		f.done()
		return r
	}
	if v := f.path("Variable"); v != nil {
		r.variable = *v
	} else {
		f.failf("Variable", "is required")
	}
	f.used["Comment"] = true
	for name := range f.m {
		if f.used[name] {
			continue
		}
		if r.test != nil {
			f.failf(name, "stands beside another comparison")
			break
		}
		r.test = parseTest(f, name, r.variable)
	}
	if r.test == nil {
		f.failf("Variable", "has no comparison that runs here")
	}
	f.done()
	return r
}

// parseTest reads the comparison that a field of a rule is, or gives nil.
func parseTest(f *fields, name string, variable path) func(any, bool, scope) (bool, error) {
	if is := presence[name]; is != nil {
		want, ok := f.take(name).(bool)
		if !ok {
			f.failf(name, "must be true or false")
		}
		return func(v any, there bool, _ scope) (bool, error) {
			if !there && name != "IsPresent" {
				return false, missing(variable)
			}
			return is(v, there) == want, nil
		}
	}
	for _, kind := range []string{"String", "Numeric", "Boolean"} {
		rest, ok := strings.CutPrefix(name, kind)
		if !ok {
			continue
		}
		operator, byPath := strings.CutSuffix(rest, "Path")
		order := orders[operator]
		if order == nil || kind == "Boolean" && operator != "Equals" {
			continue
		}
		if byPath {
			p := f.path(name)
			return func(v any, there bool, s scope) (bool, error) {
				if !there || p == nil {
					return false, missing(variable)
				}
				want, err := s.follow(*p)
				if err == nil {
					want, err = plain(want)
				}
				return err == nil && compare(kind, order, v, want), err
			}
		}
		want := f.take(name)
		switch w := want.(type) {
		case string:
			ok = kind == "String"
		case bool:
			ok = kind == "Boolean"
		default:
			_, ok = number(w)
			ok = ok && kind == "Numeric"
		}
		if !ok {
			f.failf(name, "is compared with %s", kindOf(want))
		}
		return func(v any, there bool, _ scope) (bool, error) {
			if !there {
				return false, missing(variable)
			}
			return compare(kind, order, v, want), nil
		}
	}
	return nil
}

func missing(variable path) *Failure {
	return fail(errRuntime, "Invalid path '%s': The choice state's condition path references an invalid value.", variable.text)
}
