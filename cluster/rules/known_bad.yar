// Content that has no business in the messages of a machine's protocol. Few rules, each of which says what it is for:
// a rule that matches honest traffic is worse than none. More are named by the setting scan_rules.

rule eicar_test_file {
    meta:
        description = "the test file that virus scanners agree on (EICAR)"
    strings:
        $body = { 58 35 4F 21 50 25 40 41 50 5B 34 5C 50 5A 58 35 34 28 50 5E 29 37 43 43 29 37 7D 24 45 49 43 41 52 }
    condition:
        $body
}

rule windows_program {
    meta:
        description = "a program for Windows (MZ and PE headers)"
    strings:
        $stub = "This program cannot be run in DOS mode"
        $pe = { 50 45 00 00 (4C 01 | 64 86 | C4 01 | 64 AA) }
    condition:
        $pe and $stub and @stub[1] < @pe[1]
}

rule linux_program {
    meta:
        description = "a program or library for Linux (ELF header)"
    strings:
        $elf = { 7F 45 4C 46 (01 | 02) (01 | 02) 01 }
    condition:
        $elf
}

rule reverse_shell {
    meta:
        description = "a command that hands a shell to another machine"
    strings:
        $bash = /\/dev\/(tcp|udp)\/[0-9a-zA-Z.:-]{3,64}\/[0-9]{1,5}/
        $netcat = /\bn(c|cat|etcat)\s{1,4}(-[a-z]{1,6}\s{1,4}){0,4}-[a-z]{0,4}[ec]\s{1,4}\/bin\/(ba|da|z)?sh/
        $python = /pty\.spawn\(.{0,3}\/bin\/(ba|da|z)?sh/
    condition:
        any of them
}

rule download_and_run {
    meta:
        description = "a command that fetches a program and runs it"
    strings:
        $pipe = /\b(wget|curl)\s[^\r\n|;]{4,200}\|\s{0,4}(ba|da|z)?sh\b/
        $then = /\b(wget|curl|tftp)\s[^\r\n]{4,200}[;&]{1,2}\s{0,4}chmod\s{1,4}(\+x|7[0-7]{2})\b/
        $busybox = /\/bin\/busybox\s{1,4}[A-Z]{4,16}\b/
    condition:
        any of them
}

rule powershell_hidden {
    meta:
        description = "PowerShell with an encoded or downloaded command"
    strings:
        $encoded = /powershell(\.exe)?\s[^\r\n]{0,120}-e(nc|ncodedcommand|c)?\s{1,4}[A-Za-z0-9+\/=]{40}/ nocase
        $download = /IEX\s{0,4}\(\s{0,4}New-Object\s{1,4}Net\.WebClient/ nocase
    condition:
        any of them
}

rule log4shell {
    meta:
        description = "a look-up that Log4j runs (CVE-2021-44228)"
    strings:
        $plain = /\$\{jndi:(ldaps?|rmi|dns|iiop|nis|corba):/ nocase
        $nested = /\$\{(\$\{[^}]{1,40}\}|[jndi]){1,8}(:|\})[^\r\n]{0,80}(ldap|rmi|dns)/ nocase
    condition:
        $plain or $nested
}

rule shellshock {
    meta:
        description = "a function with a trailing command for Bash (CVE-2014-6271)"
    strings:
        $function = /\(\)\s{0,4}\{\s{0,4}:?;?\s{0,4}\}\s{0,4};\s{0,4}\S/
    condition:
        $function
}

rule nop_sled {
    meta:
        description = "a run of x86 instructions that do nothing, ahead of a system call"
    strings:
        $sled = { 90 90 90 90 90 90 90 90 90 90 90 90 90 90 90 90 [0-256] CD 80 }
        $sled64 = { 90 90 90 90 90 90 90 90 90 90 90 90 90 90 90 90 [0-256] 0F 05 }
    condition:
        any of them
}

rule web_shell {
    meta:
        description = "a page that runs what it is sent"
    strings:
        $php = /<\?php[^>]{0,200}\b(eval|assert|system|passthru|shell_exec)\s{0,4}\(\s{0,4}(base64_decode\s{0,4}\(\s{0,4})?\$_(GET|POST|REQUEST|COOKIE)/ nocase
        $jsp = /<%[^>]{0,200}Runtime\.getRuntime\(\)\.exec\(\s{0,4}request\.getParameter/
    condition:
        any of them
}
