//! Who is let in, by which door, and what has to be said before the first request.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// A client must have proved so soon who it is.
const GREETING: Duration = Duration::from_secs(10);

/// Whatever lets clients in.
pub(crate) trait Accept: Send + Sync + 'static {
    type Client: Send + 'static;
    type Stream: Stream;
    /// The next client.
    fn next(&self) -> impl Future<Output = io::Result<Self::Client>> + Send;
    /// What has to be said before a client may ask for something. Others do not wait for that.
    fn greet(&self, client: Self::Client) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Accept for UnixListener {
    type Client = UnixStream;
    type Stream = UnixStream;

    async fn next(&self) -> io::Result<UnixStream> {
        Ok(self.accept().await?.0)
    }

    async fn greet(&self, client: UnixStream) -> io::Result<UnixStream> {
        Ok(client)
    }
}

impl Accept for TcpListener {
    type Client = TcpStream;
    type Stream = TcpStream;

    async fn next(&self) -> io::Result<TcpStream> {
        Ok(self.accept().await?.0)
    }

    async fn greet(&self, client: TcpStream) -> io::Result<TcpStream> {
        client.set_nodelay(true)?;
        // Whoever has vanished without a word is found out some time.
        rustix::net::sockopt::set_socket_keepalive(&client, true)?;
        Ok(client)
    }
}

/// Lets in those who can prove who they are.
pub(crate) struct Proving {
    pub(crate) listener: TcpListener,
    pub(crate) tls: TlsAcceptor,
}

impl Accept for Proving {
    type Client = TcpStream;
    type Stream = TlsStream<TcpStream>;

    async fn next(&self) -> io::Result<TcpStream> {
        self.listener.next().await
    }

    async fn greet(&self, client: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let client = self.listener.greet(client).await?;
        tokio::time::timeout(GREETING, self.tls.accept(client)).await?
    }
}

/// A client's connection.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// The socket itself, for whoever polls it.
    fn into_fd(self) -> io::Result<OwnedFd>;
}

impl Stream for UnixStream {
    fn into_fd(self) -> io::Result<OwnedFd> {
        Ok(self.into_std()?.into())
    }
}

impl Stream for TcpStream {
    fn into_fd(self) -> io::Result<OwnedFd> {
        Ok(self.into_std()?.into())
    }
}

impl Stream for TlsStream<TcpStream> {
    /// A socket of our own, between which and the client somebody copies.
    fn into_fd(mut self) -> io::Result<OwnedFd> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        theirs.set_nonblocking(true)?;
        let mut ours = UnixStream::from_std(ours)?;
        tokio::spawn(async move {
            // Whichever side ends it, the other sees that.
            let _ = copy_bidirectional(&mut self, &mut ours).await;
        });
        Ok(theirs.into())
    }
}
