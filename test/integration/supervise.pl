# A supervisor as small as it can be, after systemd's notify protocol: starts a command as a user,
# and tells on stdout, a line each, what the command says of itself and what becomes of it.
#
#   supervise.pl USER SOCKET COMMAND…      stdin: signals to send, a name a line
use strict;
use warnings;
use IO::Select;
use Socket;
use Time::HiRes qw(time);

$| = 1;
my ($user, $path, @command) = @ARGV;
my (undef, undef, $uid, $gid) = getpwnam($user) or die "no user $user\n";
socket(my $notify, AF_UNIX, SOCK_DGRAM, 0) or die "socket: $!\n";
bind($notify, sockaddr_un($path)) or die "bind $path: $!\n";
chmod 0777, $path;

my $began = time;
my $child = fork();
if ($child == 0) {
  $ENV{NOTIFY_SOCKET} = $path;
  $( = $gid;
  $) = "$gid $gid";
  $< = $> = $uid;
  exec(@command) or die "exec: $!\n";
}
sub report { printf "%d %s\n", (time - $began) * 1000, join(" ", @_) }

my $ready = IO::Select->new($notify, \*STDIN);
my $signalled;
while (1) {
  for my $handle ($ready->can_read(0.05)) {
    if ($handle == $notify) {
      recv($notify, my $text, 4096, 0);
      report("said", $_) for split(/\n/, $text);
    } else {
      sysread(STDIN, my $text, 256) or do { $ready->remove(\*STDIN); next };
      for my $signal (split(/\s+/, $text)) {
        $signalled = time;
        kill $signal, $child;
      }
    }
  }
  next if waitpid($child, 1) != $child;
  my $waited = defined $signalled ? int((time - $signalled) * 1000) : 0;
  report("ended", $? >> 8, $? & 127, $waited);
  last;
}
unlink $path;
