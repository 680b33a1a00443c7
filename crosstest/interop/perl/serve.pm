# Answers requests on standard input: a JSON object on each line, and one for each on standard output.
# The first line that it prints has the version of the module.
package serve;
use strict;
use warnings;
use JSON::PP;

my $json = JSON::PP->new->canonical->utf8;

sub respond { print $json->encode($_[0]), "\n" }

sub serve {
    my ($version, $verify) = @_;
    $| = 1;
    respond({ version => "$version" });
    while (my $line = <STDIN>) {
        my $claims = eval { $verify->($json->decode($line)) };
        if   ($claims) { respond({ accepted => JSON::PP::true, subject => $claims->{sub} }) }
        else           { respond({ accepted => JSON::PP::false, error => "$@" || 'refused' }) }
    }
}

sub symmetric { $_[0]->{algorithm} =~ /^HS/ }

1;
