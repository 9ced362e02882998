# An installer of one secret that survives a kill at each point. tests/killed/saboteurs.rs breaks it, a line a time.
set -eu
read -r version < "$1" || :
current=$(readlink /run/secrets || true)
number=${current##*/}
number=${number:-0}
next=$((number + 1))
ask() { echo a.service >> /run/nixos/activation-restart-list; }
mkdir -p /run/secrets.d
pending=; [ ! -s /run/secrets.d/pending ] || read -r pending < /run/secrets.d/pending
[ "$pending" != "$number" ] || ask
rm -rf "/run/secrets.d/$next" /run/secrets.new
mkdir "/run/secrets.d/$next"
echo "$version" > "/run/secrets.d/$next/a"
changed=$([ "$number" = 0 ] || cmp -s "/run/secrets/a" "/run/secrets.d/$next/a" || echo yes)
if [ "$changed" ]; then echo "$next" > /run/secrets.d/pending.new; mv /run/secrets.d/pending.new /run/secrets.d/pending; fi
ln -s "/run/secrets.d/$next" /run/secrets.new
mv -T /run/secrets.new /run/secrets
ln -sfn /run/secrets/a /run/links/b
[ -z "$changed" ] || ask
for old in /run/secrets.d/*; do [ "$old" = "/run/secrets.d/$next" ] || rm -rf "$old"; done
