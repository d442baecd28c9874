//! What `printf` makes of its formats.

use super::check;

#[test]
fn prints() {
    check("{{printf \"%d|%5d|%-5d|%05d|%+d|% d\" 1 2 3 4 5 6}}", "1|    2|3    |00004|+5| 6");
    check(
        "{{printf \"%b %o %O %x %X %c %q %U\" 5 64 64 255 255 65 65 65}}",
        "101 100 0o100 ff FF A 'A' U+0041",
    );
    check(
        "{{printf \"%#b %#o %#x %#X %#U %#q\" 5 64 255 255 233 65}}",
        "0b101 0100 0xff 0XFF U+00E9 'é' 'A'",
    );
    check("{{printf \"%x %X %+x % x\" -255 -255 10 10}}", "-ff -FF +a  a");
    check(
        "{{printf \"%.5d|%8.3d|%-8.3d|%08.3d|%.0d|\" 7 7 7 7 0}}",
        "00007|     007|007     |     007||",
    );
    check("{{printf \"%U %#U %#.6U\" 128512 128512 10}}", "U+1F600 U+1F600 '😀' U+00000A");
    check("{{printf \"%c|%3c|%-3c|%c\" 233 65 65 -1}}", "é|  A|A  |�");
    check("{{printf \"%q %+q\" 233 233}}", "'é' '\\u00e9'");
    check(
        "{{printf \"%s|%5s|%-5s|%.2s|%5.1s\" \"abc\" \"abc\" \"abc\" \"héllo\" \"abc\"}}",
        "abc|  abc|abc  |hé|    a",
    );
    check(
        "{{printf \"%q %+q %#q %x %X % x %#x %# x\" \"é\\n\" \"é\" \"raw\" \"hi\" \"hi\" \"hi\" \"hi\" \"hi\"}}",
        "\"é\\n\" \"\\u00e9\" `raw` 6869 6869 68 69 0x6869 0x68 0x69",
    );
    check("{{printf \"%.1x|%.3q\" \"abc\" \"héllo\"}}", "61|\"hél\"");
    check("{{printf \"%t %5t %v\" true false true}}", "true false true");
    check(
        "{{printf \"%f %.2f %8.3f %-8.1f| %+f %08.2f\" 1.5 1.555 1.5 1.5 1.5 -1.5}}",
        "1.500000 1.55    1.500 1.5     | +1.500000 -0001.50",
    );
    check(
        "{{printf \"%e %E %.3e %.0e\" 1234.5678 1234.5678 0.00012 15.0}}",
        "1.234568e+03 1.234568E+03 1.200e-04 2e+01",
    );
    check(
        "{{printf \"%g %G %.3g %g %g %g\" 1e21 1e-7 123456.0 100000.0 1000000.0 0.0001}}",
        "1e+21 1E-07 1.23e+05 100000 1e+06 0.0001",
    );
    check("{{printf \"%v %v %v %v\" 1e20 1e6 123456789.0 0.1}}", "1e+20 1e+06 1.23456789e+08 0.1");
    check(
        "{{printf \"%#g %#.3g %#v %#f %#.0f\" 1.0 1.0 1.0 1.0 1.0}}",
        "1.00000 1.00 1 1.000000 1.",
    );
    check(
        "{{printf \"%x %X %.2x %b\" 1.5 -0.75 1.999 1.0}}",
        "0x1.8p+00 -0X1.8P-01 0x1.00p+01 4503599627370496p-52",
    );
    check("{{printf \"%F %6.2f|% f\" 1.0 3.14159 2.0}}", "1.000000   3.14| 2.000000");
    check("{{printf \"%10.4v|%-10v|\" 3.14159 2.5}}", "     3.142|2.5       |");
    check(
        "{{printf \"%v %+v %#v\" .Labels .Labels .Labels}}",
        "map[a:one b:two] map[a:one b:two] map[string]string{\"a\":\"one\", \"b\":\"two\"}",
    );
    check(
        "{{printf \"%v %#v %s\" .Names .Names .Names}}",
        "[web db/web] []string{\"web\", \"db/web\"} [web db/web]",
    );
    check(
        "{{printf \"%#v %#v %#v %#v %#v\" 1 \"x\" true .Mixed nil}}",
        "1 \"x\" true []interface {}{1, \"x\", interface {}(nil), true, 2.5, []string{\"y\"}} <nil>",
    );
    check(
        "{{printf \"%d %x %q\" .Mixed .Names .Names}}",
        "[1 %!d(string=x) <nil> %!d(bool=true) %!d(float64=2.5) [%!d(string=y)]] [776562 64622f776562] [\"web\" \"db/web\"]",
    );
    check(
        "{{printf \"%5d|%03d\" .Mixed .Minus}}",
        "[    1 %!d(string=    x) <nil> %!d(bool= true) %!d(float64=  2.5) [%!d(string=    y)]]|-07",
    );
    check(
        "{{printf \"%T %T %T %T %T %T %T\" 1 1.5 \"x\" true nil .Names .State}}",
        "int float64 string bool <nil> []string map[string]interface {}",
    );
    check(
        "{{printf \"%d %s %t %c\" \"x\" 1 \"y\" 1.5}}",
        "%!d(string=x) %!s(int=1) %!t(string=y) %!c(float64=1.5)",
    );
    check("{{printf \"%z %!\" 1 2}}", "%!z(int=1) %!!(int=2)");
    check("{{printf \"%d %d\" 1}}", "1 %!d(MISSING)");
    check("{{printf \"%d\" 1 2 \"x\" nil}}", "1%!(EXTRA int=2, string=x, <nil>)");
    check("{{printf \"%\"}}", "%!(NOVERB)");
    check("{{printf \"%%|%5%|%d%%\" 50}}", "%|%|50%");
    check("{{printf \"%*d|%-*d|%*d|\" 5 1 5 1 -5 1}}", "    1|1    |1    |");
    check("{{printf \"%.*f|%.*s\" 2 1.23456 1 \"abc\"}}", "1.23|a");
    check("{{printf \"%*d %.*d\" \"x\" 1 \"y\" 2}}", "%!(BADWIDTH)1 %!(BADPREC)2");
    check("{{printf \"%.*d\" -1 5}}", "%!(BADPREC)5");
    check("{{printf \"%[2]d %[1]d\" 1 2}}", "2 1");
    check("{{printf \"%[2]*[1]d|%[3]*.[2]*[1]f\" 12.0 2 6}}", "%!d(float64=12)| 12.00");
    check("{{printf \"%[3]d %[x]d %[1]\" 1 2}}", "%!d(BADINDEX) %!d(BADINDEX) %!(NOVERB)");
    check("{{printf \"%[1]d %d %[1]q\" 65 66}}", "65 66 'A'");
    check("{{printf \"%[2]d\" 1 2 3}}", "2");
    check("{{printf \"%s %d %q\" nil nil .Missing}}", "%!s(<nil>) %!d(<nil>) %!q(<nil>)");
    check("{{printf \"%p\" 1}}", "%!p(int=1)");
    check("{{printf \"%*d|%d\" 1000001 1}}", "%!(BADWIDTH)1|%!d(MISSING)");
    check("{{printf \"%w\" \"x\"}}", "%!w(string=x)");
    check("{{printf \"%é\" 1}}", "%!é(int=1)");
    check("{{printf \"%5.\" 1}}", "%!.(int=    1)");
    check("{{printf \"%100000010d\" 1}}", "%!(NOVERB)%!(EXTRA int=1)");
    check("{{printf \"%v %d\" .State.Health .State.Pid}}", "<nil> 41");
    check("{{printf \"%s\" .Mixed}}", "[%!s(int=1) x <nil> %!s(bool=true) %!s(float64=2.5) [y]]");
    check(
        "{{printf \"%+d %+v\" .Mixed .Mixed}}",
        "[+1 %!d(string=x) <nil> %!d(bool=true) %!d(float64=+2.5) [%!d(string=y)]] [1 x <nil> true 2.5 [y]]",
    );
    check("{{printf \"%010s|%-010d|%+05d\" \"ab\" 3 7}}", "00000000ab|3         |+0007");
    check("{{printf \"%6.3v|%.3v\" \"héllo\" \"héllo\"}}", "   hél|hél");
    check("{{printf \"%x\" .Labels}}", "map[61:6f6e65 62:74776f]");
    check("{{printf \"héllo %d☃\" 1}}", "héllo 1☃");
    check("{{printf \"%#o %O\" 0 0}}", "0 0o0");
    check(
        "{{printf \"%20s|%-20s|\" .Names .Names}}",
        "[                 web               db/web]|[web                  db/web              ]|",
    );
    check(
        "{{printf \"%08.3f|%+08.3f|%-08.3f|% 08.3f\" 3.14159 3.14159 3.14159 3.14159}}",
        "0003.142|+003.142|3.142   | 003.142",
    );
    check("{{printf \"%+.2e|%e\" 12345.678 0.0}}", "+1.23e+04|0.000000e+00");
    check("{{printf \"%g %g\" 5e-324 1.7976931348623157e308}}", "5e-324 1.7976931348623157e+308");
    check(
        "{{printf \"%.20g|%.30f\" 0.1 0.1}}",
        "0.10000000000000000555|0.100000000000000005551115123126",
    );
    check("{{printf \"%.3x %.0x %#x\" 1.0 1.5 1.0}}", "0x1.000p+00 0x1p+01 0x1.0000p+00");
    check("{{printf \"%v %s\" .Nothing .Nothing}}", "<nil> %!s(<nil>)");
    check("{{printf \"%c%c\" 128512 1114112}}", "😀�");
}
