group "default" {
  targets = ["c", "rust", "python", "node"]
}

target "base" {
  dockerfile-inline = <<EOT
FROM debian:bookworm
RUN rm -f /etc/apt/apt.conf.d/docker-clean && \
    echo 'Binary::apt::APT::Keep-Downloaded-Packages "true";' > /etc/apt/apt.conf.d/keep
EOT
}

target "program" {
  network  = "host"
  contexts = { base = "target:base" }
}

target "c" {
  inherits = ["program"]
  context  = "c"
  tags     = ["program/c"]
}

target "rust" {
  inherits = ["program"]
  context  = "rust"
  tags     = ["program/rust"]
}

target "python" {
  inherits = ["program"]
  context  = "python"
  secret   = ["id=token,src=token"]
  tags     = ["program/python"]
}

target "node" {
  inherits = ["program"]
  context  = "node"
  contexts = { npm = "npm" }
  tags     = ["program/node"]
}
