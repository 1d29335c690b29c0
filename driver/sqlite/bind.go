package sqlite

import (
	"database/sql"
	"database/sql/driver"
	"fmt"
	"time"
)

// timeFormat is how times are stored: in UTC, so that texts sort and compare
// as the times do, and as both drivers write a time in UTC, so that what was
// written through database/sql compares too. SQLite's date functions know it.
const timeFormat = "2006-01-02 15:04:05.999999999-07:00"

// bind makes of args what both engines understand alike. It may call foreign
// code (driver.Valuer), so it runs outside the guard, and takes the buffer
// away from the connection meanwhile: that code may run statements.
func (c *Conn) bind(op, text string, args []any) ([]driver.NamedValue, error) {
	if len(args) == 0 {
		return nil, nil
	}
	values := c.args[:0]
	c.args = nil
	for i, arg := range args {
		v, err := bindValue(arg)
		if err != nil {
			c.unbind(values)
			return nil, c.refuse(op, text, fmt.Errorf("%w: argument %d, a %T: %w", ErrParameters, i+1, arg, err))
		}
		values = append(values, driver.NamedValue{Ordinal: i + 1, Value: v})
	}
	return values, nil
}

// unbind takes the buffer back, without what was in it.
func (c *Conn) unbind(values []driver.NamedValue) {
	const largest = 1024 // a rare statement with more gets a new one every time
	if values == nil || cap(values) > largest {
		return
	}
	clear(values)
	c.args = values[:0]
}

// bindValue converts one argument to an int64, a float64, a bool, a string, a
// []byte or nil. A nil []byte is NULL, an empty one an empty BLOB. A bool is
// stored as 0 or 1, a time as text in UTC.
func bindValue(arg any) (driver.Value, error) {
	switch v := arg.(type) {
	case nil, int64, float64, bool, string, []byte:
		return v, nil
	case int:
		return int64(v), nil
	case time.Time:
		return formatTime(v)
	case sql.NamedArg:
		return nil, fmt.Errorf("named arguments are not supported: use ? or ?1")
	}
	v, err := driver.DefaultParameterConverter.ConvertValue(arg) // driver.Valuer, pointers, named and unsigned types
	if err != nil {
		return nil, err
	}
	if t, ok := v.(time.Time); ok {
		return formatTime(t)
	}
	return v, nil
}

func formatTime(t time.Time) (driver.Value, error) {
	t = t.UTC()
	if y := t.Year(); y < 0 || y > 9999 {
		return nil, fmt.Errorf("the year %d cannot be stored as a text that sorts", y)
	}
	return t.Format(timeFormat), nil
}
