package sqlite

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"time"
)

// Scanning is strict: a value goes into a type that can hold it as it is.
// SQLite's columns hold anything, so what does not fit is an error that names
// the column, not a guess.

// ErrColumns is returned by Scan when there are not as many destinations as columns.
var ErrColumns = errors.New("columns and destinations do not fit")

// ScanError says which value did not fit into which destination.
type ScanError struct {
	Column int    // counted from 0
	Name   string // of the column
	Stored string // SQLite's name of the value's type: NULL, INTEGER, REAL, TEXT or BLOB
	Dest   string // the Go type of the destination
	Err    error  // why, where there is more to say
}

// Error names the column, what is stored in it and where it was to go.
func (e *ScanError) Error() string {
	msg := fmt.Sprintf("sqlite: scan column %d (%q): %s does not fit into %s", e.Column, e.Name, e.Stored, e.Dest)
	if e.Err != nil {
		msg += ": " + e.Err.Error()
	}
	return msg
}

// Unwrap returns the reason.
func (e *ScanError) Unwrap() error { return e.Err }

// Scan copies the columns into the values that dest points to:
//
//	INTEGER  any integer type that can hold the number, bool (0 and 1), floats
//	REAL     floats
//	TEXT     string, []byte, time.Time (as bound here or by the drivers, RFC 3339, and SQLite's own formats)
//	BLOB     []byte, string
//	NULL     a pointer (set to nil), *any, []byte (nil), sql.Null…, any sql.Scanner
//
// A *any gets what Value returns. A nil destination drops its column. A []byte
// belongs to the caller.
func (r *Row) Scan(dest ...any) error {
	if len(dest) != len(r.values) {
		return fmt.Errorf("sqlite: scan: %w: %d columns, %d destinations", ErrColumns, len(r.values), len(dest))
	}
	for i, d := range dest {
		if err := scanValue(d, r.values[i]); err != nil {
			return r.scanError(i, d, err)
		}
	}
	return nil
}

func (r *Row) scanError(i int, dest any, err error) error {
	e := &ScanError{Column: i, Stored: storageClass(r.values[i]), Dest: "nothing", Err: err}
	if i < len(r.columns) {
		e.Name = r.columns[i]
	}
	if t := reflect.TypeOf(dest); t != nil {
		e.Dest = t.String()
		if t.Kind() == reflect.Pointer {
			e.Dest = t.Elem().String()
		}
	}
	if errors.Is(err, errMismatch) {
		e.Err = nil
	}
	return e
}

func storageClass(v driver.Value) string {
	switch v.(type) {
	case nil:
		return "NULL"
	case int64:
		return "INTEGER"
	case float64:
		return "REAL"
	case string:
		return "TEXT"
	case []byte:
		return "BLOB"
	default:
		return fmt.Sprintf("%T", v)
	}
}

var (
	errMismatch = errors.New("type mismatch")
	errTime     = errors.New("not a time in a known format")
	errBool     = errors.New("neither 0 nor 1")
)

// scanValue is the fast part: the types that nearly all destinations have.
func scanValue(dest any, v driver.Value) error {
	switch d := dest.(type) {
	case *string:
		switch v := v.(type) {
		case string:
			*d = v
			return nil
		case []byte:
			*d = string(v)
			return nil
		}
		return errMismatch
	case *[]byte:
		return scanBytes(d, v)
	case *sql.RawBytes:
		return scanBytes((*[]byte)(d), v)
	case *int64:
		if v, ok := v.(int64); ok {
			*d = v
			return nil
		}
		return errMismatch
	case *int:
		v, ok := v.(int64)
		if !ok {
			return errMismatch
		}
		if int64(int(v)) != v {
			return outOfRange(v)
		}
		*d = int(v)
		return nil
	case *bool:
		return scanBool(d, v)
	case *float64:
		switch v := v.(type) {
		case float64:
			*d = v
			return nil
		case int64:
			*d = float64(v)
			return nil
		}
		return errMismatch
	case *time.Time:
		return scanTime(d, v)
	case *any:
		if b, ok := v.([]byte); ok && b == nil {
			v = []byte{}
		}
		*d = v
		return nil
	case *sql.NullTime:
		if d.Valid = v != nil; !d.Valid {
			d.Time = time.Time{}
			return nil
		}
		return scanTime(&d.Time, v)
	case *sql.Null[time.Time]:
		if d.Valid = v != nil; !d.Valid {
			d.V = time.Time{}
			return nil
		}
		return scanTime(&d.V, v)
	case sql.Scanner:
		if b, ok := v.([]byte); ok && b == nil {
			v = []byte{}
		}
		return d.Scan(v)
	case nil:
		return nil
	}
	return scanReflect(dest, v)
}

// scanBytes needs not copy: both drivers make a copy of their own for every row.
func scanBytes(d *[]byte, v driver.Value) error {
	switch v := v.(type) {
	case []byte:
		if v == nil {
			v = []byte{}
		}
		*d = v
	case string:
		*d = []byte(v)
	case nil:
		*d = nil
	default:
		return errMismatch
	}
	return nil
}

func scanBool(d *bool, v driver.Value) error {
	switch v := v.(type) {
	case int64:
		if v != 0 && v != 1 {
			return fmt.Errorf("%d: %w", v, errBool)
		}
		*d = v == 1
		return nil
	case bool:
		*d = v
		return nil
	}
	return errMismatch
}

// timeFormats are what is read as a time. Where no zone is given it is UTC.
var timeFormats = [...]string{
	timeFormat,
	time.RFC3339Nano,
	"2006-01-02 15:04:05.999999999Z07:00",
	"2006-01-02 15:04:05.999999999",
	"2006-01-02T15:04:05.999999999",
	"2006-01-02 15:04",
	"2006-01-02T15:04",
	"2006-01-02",
}

func scanTime(d *time.Time, v driver.Value) error {
	switch v := v.(type) {
	case string:
		for _, format := range timeFormats {
			if t, err := time.Parse(format, v); err == nil {
				*d = t.UTC()
				return nil
			}
		}
		return errTime
	case time.Time:
		*d = v.UTC()
		return nil
	case int64, float64:
		return errors.New("scan the number and convert it: nothing says whether it counts seconds or milliseconds")
	}
	return errMismatch
}

// scanReflect handles the rest: other integers, pointers to pointers, named types.
func scanReflect(dest any, v driver.Value) error {
	p := reflect.ValueOf(dest)
	if p.Kind() != reflect.Pointer {
		return errors.New("the destination is not a pointer")
	}
	if p.IsNil() {
		return errors.New("the destination is a nil pointer")
	}
	return scanInto(p.Elem(), v)
}

func scanInto(d reflect.Value, v driver.Value) error {
	switch d.Kind() {
	case reflect.Pointer:
		if v == nil {
			d.SetZero()
			return nil
		}
		target := reflect.New(d.Type().Elem())
		if err := scanValue(target.Interface(), v); err != nil {
			return err
		}
		d.Set(target)
		return nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, ok := v.(int64)
		if !ok {
			return errMismatch
		}
		if d.OverflowInt(n) {
			return outOfRange(n)
		}
		d.SetInt(n)
		return nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		n, ok := v.(int64)
		if !ok {
			return errMismatch
		}
		if n < 0 || d.OverflowUint(uint64(n)) {
			return outOfRange(n)
		}
		d.SetUint(uint64(n))
		return nil
	case reflect.Float32, reflect.Float64:
		var f float64
		if err := scanValue(&f, v); err != nil {
			return err
		}
		if d.OverflowFloat(f) && !math.IsInf(f, 0) {
			return fmt.Errorf("%v is out of range", f)
		}
		d.SetFloat(f)
		return nil
	case reflect.Bool:
		var b bool
		if err := scanBool(&b, v); err != nil {
			return err
		}
		d.SetBool(b)
		return nil
	case reflect.String:
		var s string
		if err := scanValue(&s, v); err != nil {
			return err
		}
		d.SetString(s)
		return nil
	case reflect.Slice:
		if d.Type().Elem().Kind() == reflect.Uint8 {
			var b []byte
			if err := scanBytes(&b, v); err != nil {
				return err
			}
			d.SetBytes(b)
			return nil
		}
	}
	return errors.New("this type is not supported: give it a Scan method")
}

func outOfRange(n int64) error {
	return errors.New(strconv.FormatInt(n, 10) + " is out of range")
}
