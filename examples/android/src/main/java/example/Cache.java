package example;

import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;

/** The last events of one channel, and the position after them, in SQLite. A phone shows them at once, and while it is offline. */
final class Cache implements AutoCloseable {
  static final int MOST_EVENTS = 100;

  private final Connection database;

  Cache(String file) throws SQLException {
    database = DriverManager.getConnection("jdbc:sqlite:" + file);
    try (Statement statement = database.createStatement()) {
      statement.execute("CREATE TABLE IF NOT EXISTS event (n INTEGER PRIMARY KEY, position TEXT UNIQUE, type TEXT, data TEXT)");
    }
  }

  /** Stores an event. Its position is the row's own, so both are stored or neither. Returns false for one that is there. */
  synchronized boolean add(Feed.Event event) throws SQLException {
    String insert = "INSERT OR IGNORE INTO event (position, type, data) VALUES (?, ?, ?)";
    try (PreparedStatement statement = database.prepareStatement(insert)) {
      statement.setString(1, event.position);
      statement.setString(2, event.type);
      statement.setString(3, event.data);
      if (statement.executeUpdate() == 0) return false;
    }
    try (PreparedStatement statement = database.prepareStatement("DELETE FROM event WHERE n <= (SELECT max(n) FROM event) - ?")) {
      statement.setInt(1, MOST_EVENTS);
      statement.executeUpdate();
    }
    return true;
  }

  /** Returns all events, the oldest first. */
  synchronized List<Feed.Event> events() throws SQLException {
    List<Feed.Event> events = new ArrayList<>();
    try (Statement statement = database.createStatement();
        ResultSet rows = statement.executeQuery("SELECT position, type, data FROM event ORDER BY n")) {
      while (rows.next()) events.add(new Feed.Event(rows.getString(1), rows.getString(2), rows.getString(3)));
    }
    return events;
  }

  @Override
  public synchronized void close() throws SQLException {
    database.close();
  }
}
