//! Follows a job of a server to its end: `cargo run -p tidings-client --example follow -- http://127.0.0.1:7330 JOB`.

use std::error::Error;

use tidings_client::{Client, Update};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(server), Some(job)) = (arguments.next(), arguments.next()) else {
        return Err("usage: follow SERVER JOB".into());
    };
    let mut follow = Client::new(server.parse()?)?.follow(job.parse()?);
    while let Some(update) = follow.next().await {
        match update? {
            Update::Event(event) => println!("{} {} {}", event.seq(), event.kind(), event.data()),
            Update::Gap(gap) => println!("the events before {} are no longer kept", gap.resumed_at),
            Update::Transport(transport) => eprintln!("over {transport}"),
            _ => {}
        }
    }
    Ok(())
}
